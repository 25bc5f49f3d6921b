"""What an order costs against the size of the world that it is decided in, and what a stocked cell weighs."""
