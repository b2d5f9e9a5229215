"""The OpenAPI document of the REST interface: made from the contract and its comments, served by Envoy."""
