"""What every slot of every layer may become, and how many networks that makes. Plain."""
