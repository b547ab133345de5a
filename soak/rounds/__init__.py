"""From a run to a result, again and again, while everything is killed: the product, looked at from outside.

| file | |
|---|---|
| `course.py` | one soak from its first process to its verdict |
| `work.py` | what an agent does in a round; pure |
| `asking.py` | REST, asked again where an answer was lost |
| `team.py` | the people: cards, comments, follow-ups, decisions |
| `luck.py` | what is killed, and when |
| `outside.py` | git and OpenCode's own database, read without any of the product |
| `checks.py` | what must be true at the end |
"""
