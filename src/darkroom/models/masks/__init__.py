"""Networks for masks: a classic U-Net, and decoders over ready-made encoders."""
