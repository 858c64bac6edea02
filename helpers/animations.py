"""The kernel gliding over the image, as a small page of its own: plays with no kernel and no network."""

import html
import json
from dataclasses import dataclass

import numpy as np

from .validation import check_array, check_convolution, size_text

MOST_PIXELS, MOST_WEIGHTS = 12, 5  # a side; what fits on a slide, with the sum spelled out


@dataclass(frozen=True, repr=False)
class Animation:
    """A page that a notebook, exported HTML and slides show in a frame; see `glide`."""

    page: str
    title: str
    height: int
    steps: int

    def __repr__(self) -> str:
        return f"animation of {self.steps} steps"

    def _repr_html_(self) -> str:
        # In a frame, the page's script and style cannot clash with those around it or with a second animation.
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" title="{html.escape(self.title)}" '
            f'style="width:100%;max-width:860px;height:{self.height}px;border:0"></iframe>'
        )


def glide(x, kernel, stride: int = 1, padding: int = 0) -> Animation:
    """Animate the cross-correlation of `x` with `kernel`: play, step or drag, the sum spelled out at each place.

    Parameters
    ----------
    x
        Image ``(height, width)``, at most 12×12 with its padding.
    kernel
        ``(height, width)``, at most 5×5.
    stride, padding
        In pixels.

    Returns
    -------
    Animation
        Self-contained HTML of a few kilobytes, the same at every run. Where scripts are stripped (GitHub) it shows
        nothing: put a static figure beside it.

    Raises
    ------
    ValueError
        For what `check_convolution` refuses, another rank, or sizes that would not be readable.
    """
    x, kernel = (check_array(name, value, (2,)) + 0 for name, value in (("x", x), ("kernel", kernel)))  # bool → int
    check_convolution(x, kernel, stride, padding)
    stride, padding = int(stride), int(padding)  # JSON knows no NumPy integers
    padded = np.pad(x, padding)
    for name, array, most in (("x", padded, MOST_PIXELS), ("kernel", kernel, MOST_WEIGHTS)):
        if max(array.shape) > most:
            raise ValueError(f"{name}: got {size_text(array.shape)} with its padding, expected at most {most}×{most}")
    rows = (padded.shape[0] - kernel.shape[0]) // stride + 1
    columns = (padded.shape[1] - kernel.shape[1]) // stride + 1
    data = {"x": padded.tolist(), "k": kernel.tolist(), "s": stride, "p": padding, "n": rows, "m": columns}
    page = _PAGE.replace("DATA", json.dumps(data, separators=(",", ":")))
    title = f"A kernel of {size_text(kernel.shape)} glides over an image of {size_text(x.shape)}, padding {padding}, "
    title += f"in steps of {stride}: the output, {rows}×{columns}, is written value by value"
    return Animation(page=page, title=title, height=36 * max(len(padded), rows) + 150, steps=rows * columns)


_PAGE = """<!doctype html><meta charset="utf-8"><style>
body{margin:4px;font:15px system-ui,sans-serif;color:#222;background:#fff}
#p{display:flex;gap:22px;align-items:flex-start}
table{border-collapse:collapse}caption{font-size:13px;color:#555;padding-bottom:3px}
td{width:34px;height:34px;padding:0;border:1px solid #aaa;text-align:center;font-size:13px}
.z{color:#888;background:#f3f3f3}.w{background:#ffe3a3}.o{outline:3px solid #E69F00;outline-offset:-2px}
#s{min-height:42px;margin:8px 0;font-variant-numeric:tabular-nums}
button{font:inherit;min-width:40px}input{width:260px;vertical-align:middle}
</style><div id="p"></div><div id="s" aria-live="polite"></div>
<button id="b" aria-label="one step back">‹</button> <button id="g" aria-label="play or pause">▶</button>
<button id="f" aria-label="one step forward">›</button>
<input id="r" type="range" min="0" value="0" aria-label="place of the kernel"> <span id="c"></span>
<script>
const d=DATA,$=i=>document.getElementById(i),t=v=>String(+v.toFixed(3)).replace("-","−");
const N=d.n*d.m,K=d.k.length,L=d.k[0].length;let i=0,timer=0;
function terms(a,b){const q=[];for(let u=0;u<K;u++)for(let v=0;v<L;v++)q.push([d.x[a*d.s+u][b*d.s+v],d.k[u][v]]);
return q}
const sum=q=>q.reduce((e,f)=>e+f[0]*f[1],0);
const y=[...Array(d.n)].map((_,a)=>[...Array(d.m)].map((_,b)=>sum(terms(a,b))));
function table(name,rows,cell){const e=document.createElement("table");e.createCaption().textContent=name;
rows.forEach((r,a)=>{const w=e.insertRow();r.forEach((v,b)=>{const c=w.insertCell();const[s,k]=cell(v,a,b);
c.textContent=s;c.className=k})});return e}
function draw(){const a=Math.floor(i/d.m),b=i%d.m,H=d.x.length,W=d.x[0].length;
$("p").replaceChildren(
table("input"+(d.p?", padded":""),d.x,(v,r,c)=>[t(v),
(r>=a*d.s&&r<a*d.s+K&&c>=b*d.s&&c<b*d.s+L?"w":"")+(r<d.p||c<d.p||r>=H-d.p||c>=W-d.p?" z":"")]),
table("kernel",d.k,v=>[t(v),"w"]),
table("output",y,(v,r,c)=>[r*d.m+c<=i?t(v):"",r==a&&c==b?"o":""]));
const q=terms(a,b),n=v=>v<0?"("+t(v)+")":t(v);
$("s").textContent=q.map(e=>n(e[0])+"·"+n(e[1])).join(" + ")+" = "+t(sum(q));
$("r").value=i;$("c").textContent="step "+(i+1)+" of "+N}
function stop(){clearInterval(timer);timer=0;$("g").textContent="▶"}
function go(j){i=(j+N)%N;draw()}
$("r").max=N-1;$("r").oninput=e=>{stop();go(+e.target.value)};
$("b").onclick=()=>{stop();go(i-1)};$("f").onclick=()=>{stop();go(i+1)};
$("g").onclick=()=>{if(timer)return stop();if(i==N-1)i=-1;$("g").textContent="❚❚";go(i+1);
timer=setInterval(()=>{if(i==N-1)stop();else go(i+1)},900)};
draw();
</script>"""
