"""What need not be done again.

ground       the data set and the conditions; TensorFlow only where needed
digests      what a report depends on, in short: data, package, software
stamps       out of what a notebook was executed: whether it stands
reasons      what has changed where it does not
standing     the report's folder: its lock, and what the last call left
"""
