"""What people look at: pictures of masks."""
