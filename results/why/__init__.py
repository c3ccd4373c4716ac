"""Why a trial did not learn: its likely cause, and the nearest candidate that learnt."""
