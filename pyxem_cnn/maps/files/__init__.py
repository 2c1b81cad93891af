"""Crystal maps in files of other programs: reading and writing."""
