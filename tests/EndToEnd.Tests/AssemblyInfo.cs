// The tests share two cores with a polling DPDK and an emulated guest, and count frames and descriptors: one at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
