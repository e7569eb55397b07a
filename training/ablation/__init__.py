"""The paper's ablation and comparison at 64 px."""
