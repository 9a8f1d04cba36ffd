"""Training on several devices and several machines, by TensorFlow's own engine.

tf_config   who takes part: TF_CONFIG as users of TensorFlow know it, read and checked
division    which shards are whose
team        the workers of one training: what they agree on, hand each other and tell
reading     the batches of one worker, cut for its devices
refusing    what several devices would compute otherwise than one
step        one step of all replicas together, which is that of one device with the whole batch
replicas    all of it, as `dmlkit.training.strategies` asks for it
starting    MirroredStrategy, MultiWorkerMirroredStrategy
"""
