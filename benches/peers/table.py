"""table.py FILE.jsonl...: one table, ms median (min) and GFLOP/s per peer, with the speed-up over the
best PyTorch configuration of the same row in bold, and the geometric mean of those last. A row whose results differ from
PyTorch's, by the sums of their magnitudes, is marked."""
import json, math, sys

rows, peers = {}, []
for path in sys.argv[1:]:
    for line in open(path):
        if line.startswith("{"):
            r = json.loads(line)
            rows.setdefault(r["workload"], {})[r["peer"]] = r
            if r["peer"] not in peers:
                peers.append(r["peer"])
peers.sort(key=lambda p: (not p.startswith("torch"), p))
print("| workload | " + " | ".join(peers) + " |")
print("|---" * (len(peers) + 1) + "|")
ratios = {p: [] for p in peers}
compared, wrong = 0, []
for workload, by in rows.items():
    best = min((r["ms_median"] for p, r in by.items() if p.startswith("torch")), default=None)
    cells = []
    for p in peers:
        r = by.get(p)
        if r is None:
            cells.append("")
            continue
        cell = f"{r['ms_median']:.4g} ({r['ms_min']:.4g}) {r['gflops']:.0f}"
        if best and not p.startswith("torch"):
            ratios[p].append(best / r["ms_median"])
            cell += f" **{ratios[p][-1]:.2f}x**"
        reference = next((q for p, q in by.items() if p.startswith("torch") and "checksum" in q), None)
        if reference not in (None, r) and "checksum" in r:
            expected = reference["checksum"]
            compared += 1
            if not abs(r["checksum"] - expected) <= 1e-5 * expected:
                cell += " WRONG"
                wrong.append(f"{p} {workload}: {r['checksum']} instead of {expected}")
        cells.append(cell)
    print(f"| {workload} | " + " | ".join(cells) + " |")
for p in peers:
    if ratios[p]:
        mean = math.exp(sum(map(math.log, ratios[p])) / len(ratios[p]))
        print(f"{p}: geometric mean {mean:.2f}x of the best PyTorch over {len(ratios[p])} workloads, lowest {min(ratios[p]):.2f}x")
print(f"{compared} results compared with PyTorch's, {len(wrong)} differ", *wrong, sep="\n")
sys.exit(bool(wrong))
