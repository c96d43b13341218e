"""Motion of the skin without any recording: fields drawn from facial anatomy, and flow computed from sketched faces.

`people` draws faces and their crops, `content` what happens in them, `drawn` the fields; `sketch` draws pictures of
such faces, and `computed` moves them and measures the flow between the two pictures.
"""
