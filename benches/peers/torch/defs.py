"""Workload definitions shared by the Python peers. `python defs.py` prints workloads.tsv
(name, batch, flop per step); the Rust peers read that file."""
LAYERS = [  # name, kind, N, Cin, Cout, k, s, p, d, groups, H
    ("c3-64_k3_224_b4", "conv", 4, 3, 64, 3, 1, 1, 1, 1, 224),
    ("c64-64_k3_224_b4", "conv", 4, 64, 64, 3, 1, 1, 1, 1, 224),
    ("c128-128_k3_112_b4", "conv", 4, 128, 128, 3, 1, 1, 1, 1, 112),
    ("c256-256_k3_56_b4", "conv", 4, 256, 256, 3, 1, 1, 1, 1, 56),
    ("c512-512_k3_28_b4", "conv", 4, 512, 512, 3, 1, 1, 1, 1, 28),
    ("c64-128_k3s2_56_b4", "conv", 4, 64, 128, 3, 2, 1, 1, 1, 56),
    ("c256-512_k1_28_b4", "conv", 4, 256, 512, 1, 1, 0, 1, 1, 28),
    ("dw64_k3_112_b4", "conv", 4, 64, 64, 3, 1, 1, 1, 64, 112),
    ("c16-32_k5_14_b100", "conv", 100, 16, 32, 5, 1, 2, 1, 1, 14),
    ("c24-32_k3d4_30_b64", "conv", 64, 24, 32, 3, 1, 1, 4, 1, 30),
    ("c32-48_k9_32_b64", "conv", 64, 32, 48, 9, 1, 4, 1, 1, 32),
    ("ct128-64_k4s2_28_b4", "convt", 4, 128, 64, 4, 2, 1, 1, 1, 28),
]

PRODUCTS = [(512, 512, 512), (1024, 1024, 1024), (64, 576, 50176), (512, 4608, 784), (32, 400, 19600)]

def values(count, stream):
    """Numbers that every peer can make: the element's index, scrambled, from -1/2 up to 1/2, in f32."""
    import numpy as np
    index = np.arange(count, dtype=np.uint64) + np.uint64(stream << 32)
    scrambled = (index * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return ((scrambled.astype(np.float64) / 2.0**24) - 0.5).astype(np.float32)

def conv_out(h, k, s, p, d): return (h + 2*p - d*(k-1) - 1)//s + 1

def layer_flop(L):
    name, kind, n, ci, co, k, s, p, d, g, h = L
    if kind == "convt":
        return 2.0*n*ci*h*h*co*k*k
    o = conv_out(h, k, s, p, d)
    return 2.0*n*co*o*o*(ci//g)*k*k

# nets as lists: ("c",ci,co,k,p,d) ("p",) ("l",ci,co)
def chain(h, seq):
    """-> list of per-image forward FLOP of each parametrised layer"""
    out = []
    for op in seq:
        if op[0] == "c":
            _, ci, co, k, p, d = op
            h = conv_out(h, k, 1, p, d); out.append(2.0*co*h*h*ci*k*k)
        elif op[0] == "p": h //= 2
        elif op[0] == "gap": h = 1
        elif op[0] == "l": out.append(2.0*op[1]*op[2])
    return out
C = lambda ci, co, k=3, p=1, d=1: ("c", ci, co, k, p, d)
P = ("p",)
VGG16 = []
ci = 3
for blk in ([64]*2, [128]*2, [256]*3, [512]*3, [512]*3):
    for co in blk: VGG16.append(C(ci, co)); ci = co
    VGG16.append(P)
SMALL = []
ci = 3
for co in (64, 128, 256, 512):
    SMALL += [C(ci, co), C(co, co), P]; ci = co
SMALL += [("gap",), ("l", 512, 512), ("l", 512, 512), ("l", 512, 120)]
NETS = {  # name: (batch, H, seq, train)
    "mlp": (100, 28, [("l", 784, 500), ("l", 500, 10)], True),
    "mnist_cnn": (100, 28, [C(1,16,5,2), P, C(16,32,5,2), P, ("l",1568,10)], True),
    "net7": (128, 28, [C(1,32), C(32,64), P, C(64,128), C(128,256), P, C(256,512,3,0), C(512,1024,3,0), C(1024,10,3,0)], True),
    "vgg4": (64, 32, [C(3,16),P,C(16,24),P,C(24,32),P,C(32,48),P,("gap",),("l",48,10)], True),
    "vgg4_dilation": (64, 32, [C(3,16),C(16,24,3,1,2),C(24,32,3,1,4),C(32,48,3,1,8),("gap",),("l",48,10)], True),
    "vgg4_large": (64, 32, [C(3,16,3,1),C(16,24,5,2),C(24,32,7,3),C(32,48,9,4),("gap",),("l",48,10)], True),
    "vggsmall_b4": (4, 224, SMALL, True),
    "vggsmall_b8": (8, 224, SMALL, True),
    "vgg16_fwd_b1": (1, 224, VGG16, False),
    "vgg16_fwd_b4": (4, 224, VGG16, False),
}
def net_flop(name):
    n, h, seq, train = NETS[name]
    f = chain(h, seq)
    return n*(3*sum(f) - f[0] if train else sum(f))

def workloads():
    for n in NETS: yield n, NETS[n][0], net_flop(n)
    for L in LAYERS:
        yield "fwd:"+L[0], L[2], layer_flop(L)
        yield "bwd:"+L[0], L[2], 2*layer_flop(L)
    for m, k, n in PRODUCTS: yield f"gemm:M{m}_K{k}_N{n}", 1, 2.0*m*k*n

if __name__ == "__main__":
    for n, b, f in workloads(): print(f"{n}\t{b}\t{f:.0f}")
