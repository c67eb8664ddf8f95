"""Raw images of any kind as bytes: files, lists of files, arrays, DICOM, the cells of tables."""
