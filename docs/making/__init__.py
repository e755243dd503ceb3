"""Pages and pictures of the documentation that are made of the code, of committed measurements and of the imports."""
