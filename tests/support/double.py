"""What the doubles of agent programs share: their arguments, the folder by which a test tells them what to do wrong, and the
transcript and the hooks of the parrot, whose place they take."""
import json, os, re, signal, subprocess, sys, threading, time

LOCK = threading.RLock()
CWD = os.getcwd()

def value(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None

def others(*own):
    """The arguments that are none of these options with their values."""
    return [word for n, word in enumerate(sys.argv[1:], 1) if word not in own and sys.argv[n - 1] not in own]

DIR = value('--dir')

def path(name):
    return os.path.join(DIR, name)

def append(file, record):
    with open(file, 'a') as out:
        out.write(json.dumps(record, ensure_ascii=False) + '\n')

def fault(is_for):
    """The first fault of which `is_for` says so; each is used up."""
    with LOCK:
        try:
            with open(path('faults')) as file:
                faults = json.load(file)
        except FileNotFoundError:
            return {}
        for one in faults:
            if not is_for(one):
                continue
            one.setdefault('times', 1)
            if one['times'] > 0:
                one['times'] -= 1
                if one['times'] == 0:
                    faults.remove(one)
                with open(path('faults.new'), 'w') as file:
                    json.dump(faults, file)
                os.rename(path('faults.new'), path('faults'))
            return one
        return {}

def first_word(text):
    """That of the message in this envelope."""
    body = re.search(r'<!\[CDATA\[(\w*)', text)
    return body[1] if body else ''

def hold(is_over=lambda: False):
    """Waits until the test lets turns end, or this one is over."""
    while not os.path.exists(path('release')) and not is_over():
        time.sleep(0.005)

def die_with_the_terminal():
    """The program in the terminal is the parent."""
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(7)

SESSIONS = os.path.join(os.environ['HOME'], '.iapeer-parrot/sessions')

class Session:
    """A session's transcript and hooks, those of the parrot."""

    def __init__(self, name, hook):
        os.makedirs(SESSIONS, mode=0o700, exist_ok=True)
        self.id, self.file, self.program = name, os.path.join(SESSIONS, name + '.jsonl'), hook

    def write(self, kind, **more):
        at = time.time()
        now = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at)) + '.%03dZ' % (at % 1 * 1000)
        if not os.path.exists(self.file):
            append(self.file, {'type': 'session', 'id': self.id, 'model': 'parrot', 'cwd': CWD, 'timestamp': now})
        append(self.file, {'type': kind, 'timestamp': now, **more})

    def hook(self, word, **more):
        """Calls a hook. Returns what it prints."""
        told = {'session_id': self.id, 'transcript_path': self.file, 'cwd': CWD, **more}
        done = subprocess.run([self.program, word], input=json.dumps(told).encode(), stdout=subprocess.PIPE)
        return done.stdout.decode()
