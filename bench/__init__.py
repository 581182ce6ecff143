"""How fast the lake is and how much memory it takes, always beside something else that does the same in the same minute.

What belongs here: cases (`bench/cases_*.py`), what they run in processes of their own (`bench/workers`), and what they are held
against (`bench/baselines`). What does not: anything that the product needs. Times of one machine say little on another, ratios
do, so no case asserts a time; every case compares its results, and a difference ends the benchmark.
"""
