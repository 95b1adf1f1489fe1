"""PyTorch CPU peer. usage: bench_torch.py --threads N [--filter REGEX] [--variant nchw|channels_last|nomkldnn|compile]"""
import argparse, json, math, re, resource, statistics, sys, time, os
import torch, torch.nn as nn, torch.nn.functional as F
sys.path.insert(0, os.path.dirname(__file__))
import defs
ap = argparse.ArgumentParser()
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--filter", default=".")
ap.add_argument("--variant", default="nchw")
ap.add_argument("--label", default="", help="suffix of the peer name, e.g. -malloc when run with GLIBC_TUNABLES")
ap.add_argument("--budget", type=float, default=8.0, help="seconds of timed runs per workload (>=7 runs regardless, up to 3x budget)")
a = ap.parse_args()
torch.set_num_threads(a.threads); torch.set_num_interop_threads(1)
torch.manual_seed(0)
peer = "torch" + ("" if a.variant == "nchw" else "-" + a.variant) + ("-" + a.label if a.label else "")
if a.variant == "nomkldnn": torch.backends.mkldnn.enabled = False
CL = a.variant == "channels_last"
def mf(t): return t.to(memory_format=torch.channels_last) if CL and t.dim() == 4 else t

def hashed(stream, *shape):
    return torch.from_numpy(defs.values(math.prod(shape), stream)).reshape(shape)

def magnitude(*tensors): return sum(t.double().abs().sum().item() for t in tensors)

def resident(): return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def memory(f):
    """Mebibytes by which the resident set grows in twenty steps, and minor page faults a step after the fifth."""
    before = resident()
    for _ in range(5): f()
    settled = faults()
    for _ in range(15): f()
    return dict(resident_growth_mb=round((resident() - before) / 2**20, 2), faults_per_step=round((faults() - settled) / 15, 1))

def measure(name, batch, flop, f, minruns=7, **more):
    t0 = time.perf_counter(); f(); one = time.perf_counter() - t0
    if one < 1.0:
        f(); f()
    ts = []; start = time.perf_counter()
    while True:
        t0 = time.perf_counter(); f(); ts.append(time.perf_counter() - t0)
        el = time.perf_counter() - start
        if (len(ts) >= minruns and (el > a.budget or len(ts) >= 200 or (el > 1.5 and len(ts) >= 15))) or (len(ts) >= 3 and el > 5*a.budget): break
    med, mn = statistics.median(ts), min(ts)
    print(json.dumps(dict(peer=peer, workload=name, threads=a.threads, ms_median=round(med*1e3, 3), ms_min=round(mn*1e3, 3),
        imgs_per_s=round(batch/med, 1), gflops=round(flop/med/1e9, 2), runs=len(ts), **more)), flush=True)

def feats(seq, bn=False, relu_last=True):
    m = []
    for op in seq:
        if op[0] == "c":
            _, ci, co, k, p, d = op
            m.append(nn.Conv2d(ci, co, k, padding=p, dilation=d))
            if bn: m.append(nn.BatchNorm2d(co))
            m.append(nn.ReLU())
        elif op[0] == "p": m.append(nn.MaxPool2d(2))
    return m

def build(name):
    seq = defs.NETS[name][2]
    if name == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10)), "adam", 1e-3
    if name == "mnist_cnn":
        return nn.Sequential(*feats(seq), nn.Flatten(), nn.Linear(1568, 10)), "adam", 1e-2
    if name == "net7":
        return nn.Sequential(*feats(seq), nn.Flatten(), nn.LogSoftmax(1)), "sgd", 1e-2
    if name.startswith("vgg4"):
        return nn.Sequential(*feats(seq, bn=True), nn.AdaptiveAvgPool2d(1), nn.Conv2d(48, 10, 1), nn.Flatten()), "adam", 1e-3
    if name.startswith("vggsmall"):
        return nn.Sequential(*feats(seq), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 512), nn.ReLU(),
                             nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 120)), "adam", 1e-4
    return nn.Sequential(*feats(seq)), None, None  # vgg16

def chan(name): return 1 if name in ("mlp", "mnist_cnn", "net7") else 3

def run_net(name, flop):
    n, h, seq, train = defs.NETS[name]
    m, opt, lr = build(name)
    if CL: m = m.to(memory_format=torch.channels_last)
    x = mf(torch.randn(n, chan(name), h, h))
    if not train:
        m.eval()
        if a.variant == "compile": m = torch.compile(m)
        def f():
            with torch.no_grad(): m(x)
        return measure(name, n, flop, f)
    ncls = 120 if name.startswith("vggsmall") else 10
    y = torch.randint(0, ncls, (n,))
    o = torch.optim.Adam(m.parameters(), lr, fused=True) if opt == "adam" else torch.optim.SGD(m.parameters(), lr, momentum=0.9, fused=True)
    loss_f = F.nll_loss if name == "net7" else F.cross_entropy
    mm = torch.compile(m) if a.variant == "compile" else m
    def f():
        o.zero_grad(); l = loss_f(mm(x), y); l.backward(); o.step(); return l.item()
    measure(name, n, flop, f, **memory(f))

def run_layer(L, which, flop):
    name, kind, n, ci, co, k, s, p, d, g, h = L
    x = mf(hashed(1, n, ci, h, h))
    if kind == "conv":
        w = mf(hashed(2, co, ci//g, k, k)); b = hashed(3, co); t = False
    else:
        w = mf(hashed(2, ci, co, k, k)); b = hashed(3, co); t = True
    def fwd():
        with torch.no_grad(): return torch.ops.aten.convolution(x, w, b, [s, s], [p, p], [d, d], t, [0, 0], g)
    if which == "fwd": return measure("fwd:"+name, n, flop, fwd, checksum=magnitude(fwd()))
    gy = mf(hashed(4, *fwd().shape))
    def bwd():
        with torch.no_grad():
            return torch.ops.aten.convolution_backward(gy, x, w, [co], [s, s], [p, p], [d, d], t, [0, 0], g, [True, True, True])
    measure("bwd:"+name, n, flop, bwd, checksum=magnitude(*bwd()))

def run_mm(M, K, N):
    A = hashed(1, M, K); B = hashed(2, K, N); Cc = torch.empty(M, N)
    measure(f"gemm:M{M}_K{K}_N{N}", 1, 2.0*M*K*N, lambda: torch.mm(A, B, out=Cc), checksum=magnitude(torch.mm(A, B)))

rx = re.compile(a.filter)
for name, b, flop in defs.workloads():
    if not rx.search(name): continue
    if a.variant == "compile" and ":" in name: continue
    if name.startswith("gemm:"):
        if not CL: run_mm(*map(int, re.findall(r"\d+", name)))
    elif ":" in name:
        which, ln = name.split(":")
        run_layer(next(L for L in defs.LAYERS if L[0] == ln), which, flop)
    else: run_net(name, flop)
