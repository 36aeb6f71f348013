"""Every form of data as checked arrays: data given whole (`arrays`), and data that comes in batches (`generators`)."""
