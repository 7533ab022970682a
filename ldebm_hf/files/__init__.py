"""Files that survive a kill: written under a temporary name and renamed, or resumed where they end."""
