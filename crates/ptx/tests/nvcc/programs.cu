// Small CUDA programs whose PTX, as NVIDIA's compiler makes it, the interpreter must run.

// y[i] += a * x[i], each thread a stride of the grid apart.
extern "C" __global__ void saxpy(int n, float a, const float *x, float *y) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    y[i] = a * x[i] + y[i];
}

// The sum of each block's part, through shuffles and shared memory.
extern "C" __global__ void sum(int n, const float *x, float *out) {
  __shared__ float parts[32];
  float v = 0.0f;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
  for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(0xffffffffu, v, d);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0.0f;
    for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    if (threadIdx.x == 0) out[blockIdx.x] = v;
  }
}

// How often each byte occurs.
extern "C" __global__ void histogram(int n, const unsigned char *x, unsigned *counts) {
  __shared__ unsigned local[256];
  for (int i = threadIdx.x; i < 256; i += blockDim.x) local[i] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    atomicAdd(&local[x[i]], 1u);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += blockDim.x) atomicAdd(&counts[i], local[i]);
}

// to[x][y] = from[y][x], by tiles without bank conflicts.
extern "C" __global__ void transpose(int width, int height, const float *from, float *to) {
  __shared__ float tile[32][33];
  int x = blockIdx.x * 32 + threadIdx.x;
  for (int j = threadIdx.y; j < 32; j += 8) {
    int y = blockIdx.y * 32 + j;
    if (x < width && y < height) tile[j][threadIdx.x] = from[y * width + x];
  }
  __syncthreads();
  int y = blockIdx.y * 32 + threadIdx.x;
  for (int j = threadIdx.y; j < 32; j += 8) {
    int row = blockIdx.x * 32 + j;
    if (y < height && row < width) to[row * height + y] = tile[threadIdx.x][j];
  }
}

__constant__ float weights[9] = {1, 2, 1, 2, 4, 2, 1, 2, 1};

// A 3x3 convolution with constant weights and zeros around, over 16.
extern "C" __global__ void blur(int width, int height, const float *from, float *to) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= width || y >= height) return;
  float v = 0.0f;
  for (int j = -1; j <= 1; j++)
    for (int i = -1; i <= 1; i++)
      if (x + i >= 0 && x + i < width && y + j >= 0 && y + j < height)
        v += weights[(j + 1) * 3 + i + 1] * from[(y + j) * width + x + i];
  to[y * width + x] = v / 16.0f;
}

// The softmax of each row, a warp a row.
extern "C" __global__ void softmax(int columns, const float *from, float *to) {
  const float *row = from + blockIdx.x * columns;
  float top = -INFINITY, total = 0.0f;
  for (int i = threadIdx.x; i < columns; i += 32) top = fmaxf(top, row[i]);
  for (int d = 16; d > 0; d /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, d));
  for (int i = threadIdx.x; i < columns; i += 32) total += expf(row[i] - top);
  for (int d = 16; d > 0; d /= 2) total += __shfl_xor_sync(0xffffffffu, total, d);
  for (int i = threadIdx.x; i < columns; i += 32)
    to[blockIdx.x * columns + i] = expf(row[i] - top) / total;
}

// Whole-number arithmetic of every width, and bits.
extern "C" __global__ void integers(const int *x, long long *out) {
  int i = threadIdx.x, a = x[2 * i], b = x[2 * i + 1];
  long long r = (long long)a * b;
  r ^= (long long)(a / (b == 0 ? 1 : b)) << 7;
  r += (unsigned)a % 10u;
  r -= __popc(a) + __clz(b) + __ffs(a);
  r ^= (long long)__brev(b) << 20;
  r += (short)a * (signed char)b;
  r += min(a, b) - max((unsigned)a, 7u);
  r ^= (r >> 13) ^ (long long)((unsigned long long)r >> 40);
  r += __mulhi(a, b) + (long long)__umulhi(a, b);
  r += r % 1000003;
  out[i] = r;
}
