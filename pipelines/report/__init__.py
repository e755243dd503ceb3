"""What people look at: the pictures, the table and the page that compare the entries."""
