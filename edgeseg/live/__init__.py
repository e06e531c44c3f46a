"""Live segmentation: frames in, class maps out, shown, served or filmed."""
