"""The cases of the contract, a module for each noun; `server.verify.table` has all of them."""
