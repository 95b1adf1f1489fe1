//! What the buffer pool keeps. Its figures are those of the process, so this file is one test.

mod steady_state {
    use striate_conv::buffer::{stats, trim};
    use striate_conv::{Buffer, ConvShape, ConvSpec, conv};

    /// A training step's worth of buffers and scratch.
    fn step(shape: &ConvShape) {
        let x = Buffer::filled(shape.input_len(), 1.0f32);
        let w = Buffer::filled(shape.weight_len(), 0.5);
        let mut y = Buffer::for_overwrite(shape.output_len());
        conv::forward(shape, &x, &w, None, &mut y);
        let (mut dx, mut dw) = (x.clone(), w.clone());
        conv::input_gradient(shape, &y, &w, &mut dx);
        conv::weight_gradient(shape, &x, &y, &mut dw);
    }

    #[test]
    fn asks_the_system_for_nothing() {
        let spec = ConvSpec::new([3, 3]).padding([1, 1]).stride([2, 2]);
        let shape = ConvShape::conv(&spec, &[3, 16, 33, 33], &[32, 16, 3, 3]).unwrap();
        // On one thread, so that every step has the same buffers alive together.
        rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| {
            step(&shape);
            let first = stats();
            assert!(first.system_allocations > 0 && first.cached > 0);
            assert_eq!(first.in_use, 0);
            (0..5).for_each(|_| step(&shape));
            assert_eq!(stats(), first);
        });

        let held = Buffer::filled(1000, 1.0f64);
        let with_held = stats();
        assert!(with_held.in_use >= 8000 && with_held.in_use < 8000 * 5 / 4);
        assert!(with_held.high_water >= with_held.in_use);
        drop(held);
        assert_eq!(stats().in_use, 0);
        assert_eq!(stats().cached, with_held.cached + with_held.in_use);
        trim();
        assert_eq!(stats().cached, 0);

        let again = stats().system_allocations;
        drop(Buffer::filled(1000, 1.0f64));
        drop(Buffer::filled(1010, 1.0f32));
        drop(Buffer::filled(990, 1.0f64));
        assert_eq!(stats().system_allocations, again + 2, "one of each size class");
        drop(Buffer::<f32>::for_overwrite(0));
        assert_eq!(stats().system_allocations, again + 2, "nothing for nothing");
        what_a_thread_keeps_is_not_lost();
    }

    /// A few small blocks stay near the thread of the pool that gave them back, and others go to all; but rather than ask the
    /// system, a thread takes what is near another.
    fn what_a_thread_keeps_is_not_lost() {
        let on_the_pool = |count: usize, len: usize| {
            rayon::scope(|_| {
                drop((0..count).map(|_| Buffer::filled(len, 1.0f32)).collect::<Vec<_>>())
            });
        };
        for (count, len) in [(1, 5000), (100, 5000), (1, 1 << 20)] {
            trim();
            assert_eq!(stats().cached, 0, "near blocks are given back, too");
            on_the_pool(count, len);
            let before = stats();
            drop((0..count).map(|_| Buffer::filled(len, 1.0f32)).collect::<Vec<_>>());
            on_the_pool(count, len);
            assert_eq!(stats(), before);
        }
    }
}
