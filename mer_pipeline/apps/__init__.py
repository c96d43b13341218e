"""The edge: the demonstration, the camera and the page in the browser. Nothing but the command line imports these."""
