"""What `import liverseg_tf` offers: functions that join the stages, for scripts and notebooks."""
