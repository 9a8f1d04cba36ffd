"""One notebook, executed through papermill and watched.

execution    one notebook, executed and written down
attempt      papermill in a thread of its own: time limit, stop
kernel       the project's own interpreter, whatever kernels the user has registered
tethered     its start: it ends with the process that started it
stopping     a request to end, from any thread
memory       what the operating system says of it
endings      why a notebook ended early, from what is known
marks        what an executed notebook says of itself: statuses, banner
"""
