"""Who is asked, in what order, and when to give up."""
