"""Writes functions.txt: arguments and values of elementary functions to 106 bits, from mpmath.

A line is the function's name, its arguments, and the value as the sum of two numbers; all are f64, in hexadecimal bits.
Run with the number of arguments of each kind: python tests/reference/functions.py 40 > crates/conv/tests/kernels/functions.txt
"""
import random
import struct
import sys

import mpmath
from mpmath import mpf

mpmath.mp.prec = 400
random.seed(1)
count = int(sys.argv[1])


def bits(x):
    return struct.pack(">d", float(x)).hex()


def any_exponent(low, high):
    """A number whose exponent, not itself, is uniform."""
    return random.choice([-1, 1]) * random.uniform(1, 2) * 2.0 ** random.randint(low, high)


def emit(name, arguments, value):
    high = float(value)
    print(name, *map(bits, arguments), bits(high), bits(float(value - mpf(high))))


KINDS = {
    "exp": (mpmath.exp, [lambda: random.uniform(-700, 709), lambda: random.uniform(-1, 1), lambda: any_exponent(-60, -1)]),
    "exp_m1": (mpmath.expm1, [lambda: random.uniform(-40, 709), lambda: random.uniform(-1, 1), lambda: any_exponent(-80, -1)]),
    "ln": (mpmath.log, [lambda: abs(any_exponent(-1021, 1022)), lambda: random.uniform(0.5, 2), lambda: 1 + any_exponent(-50, -2)]),
    "ln_1p": (mpmath.log1p, [lambda: abs(any_exponent(-80, 1022)), lambda: random.uniform(-0.99, 1), lambda: any_exponent(-50, -2)]),
    "tanh": (mpmath.tanh, [lambda: random.uniform(-20, 20), lambda: random.uniform(-1, 1), lambda: any_exponent(-80, -1)]),
    "sin": (lambda t: mpmath.sinpi(2 * t), [lambda: random.uniform(-1, 1), lambda: random.uniform(-1000, 1000), lambda: any_exponent(-60, -4)]),
    "cos": (lambda t: mpmath.cospi(2 * t), [lambda: random.uniform(-1, 1), lambda: random.uniform(-1000, 1000), lambda: any_exponent(-60, -4)]),
}
for name, (function, draws) in KINDS.items():
    for draw in draws:
        for _ in range(count):
            x = draw()
            emit(name, [x], function(mpf(x)))
for _ in range(3 * count):
    x, limit = abs(any_exponent(-300, 300)), 700
    if random.random() < 0.5:
        x = random.uniform(0.5, 2)
    y = random.uniform(-limit, limit) / max(1, abs(float(mpmath.log(x))))
    emit("pow", [x, y], mpf(x) ** mpf(y))
