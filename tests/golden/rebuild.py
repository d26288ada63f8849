"""Write the golden tables anew: `python -m tests.golden.rebuild`."""

from tests.golden.lesion_table import STORED, rebuild

if __name__ == "__main__":
    rebuild()
    print(STORED)
