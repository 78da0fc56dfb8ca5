"""What hardware, compilers and formats take. Plain; one module for each that has rules of its own."""
