"""``python -m autotrader_lab.host --run FOLDER``."""

from autotrader_lab.host.main import main

if __name__ == "__main__":
    main()
