"""Before anything runs: which notebooks there are, with which values, and what they would train.

parameters      a parameters cell, read without a kernel; text → typed values
allowed         which values one may have: the bracket of its comment
parameter_file  values from YAML, each with its line
parameter_help  all parameters, told for a terminal
notebooks       which notebooks there are, and what each one needs
plans           which of them run on this data set, with which values
rungs           which rungs each one trains
dry_run         what a report would do, without doing it
prospects       how a terminal is told of that
"""
