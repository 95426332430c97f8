"""Strokes of digits, drawn on the page that draws."""

STROKES = {  # of digits on a paper of side 1
    0: [[(0.5, 0.2), (0.33, 0.32), (0.3, 0.5), (0.35, 0.7), (0.5, 0.8), (0.66, 0.7), (0.7, 0.5),
         (0.66, 0.32), (0.5, 0.2)]],
    1: [[(0.5, 0.15), (0.5, 0.5), (0.5, 0.85)]],
    2: [[(0.32, 0.32), (0.42, 0.2), (0.58, 0.2), (0.66, 0.32), (0.6, 0.48), (0.45, 0.65),
         (0.3, 0.8), (0.5, 0.8), (0.72, 0.8)]],
    3: [[(0.33, 0.25), (0.5, 0.18), (0.65, 0.28), (0.6, 0.43), (0.47, 0.48), (0.62, 0.54),
         (0.68, 0.68), (0.55, 0.8), (0.32, 0.76)]],
    4: [[(0.38, 0.2), (0.3, 0.5), (0.7, 0.52)], [(0.63, 0.2), (0.6, 0.5), (0.58, 0.85)]],
    7: [[(0.28, 0.22), (0.5, 0.22), (0.7, 0.22), (0.58, 0.5), (0.46, 0.82)]],
}  # fmt: skip


def drawn(tab, strokes, touch=False, steps=1):
    """Draw strokes on the paper, by touch or with the mouse, which moves in so many steps."""
    box = tab.locator("#paper").bounding_box()
    places = [
        [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        for stroke in strokes
    ]
    session = tab.context.new_cdp_session(tab) if touch else None
    for first, *rest in places:
        if not touch:
            tab.mouse.move(*first)
            tab.mouse.down()
            for place in rest:
                tab.mouse.move(*place, steps=steps)
            tab.mouse.up()
            continue
        for kind, place in [("touchStart", first), *(("touchMove", p) for p in rest)]:
            point = {"x": place[0], "y": place[1]}
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tab.wait_for_function("() => !waiting")
