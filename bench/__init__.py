"""One script a question, each beside a baseline in the same run: `python -m bench`, or `python -m bench decode`."""
