//! One module per capability; see the files of this folder.
