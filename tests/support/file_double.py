#!/usr/bin/env python3
"""A double of an agent program that reads messages from a file while it runs, as Qwen Code 0.24.4 does.

usage: file_double.py --parrot PARROT --turn PROGRAM --dir DIR [--input-file FILE --json-file FILE] ARGUMENTS...

It becomes the parrot. With --input-file, a child of it reads that file, from its size at the start on, and echoes what a turn
takes to the file of --json-file. What it was given goes to PARROT_RECORD. While a turn of it runs, the terminal's title says so;
a message that begins with HOLD has one that lasts until DIR/release is there.

DIR/fault is a word, which is used up by the next message:
  deaf    not taken · late: taken after two seconds · die: the program ends before it takes it
  take-and-die: taken, then the program ends · quiet: no hook, no transcript, only the echo
"""
import json, os, re, signal, subprocess, sys, time

def value(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None

PARROT, HOOK, DIR, INPUT, ECHO = (value('--' + name) for name in ('parrot', 'turn', 'dir', 'input-file', 'json-file'))

def path(name):
    return os.path.join(DIR, name)

def append(file, record):
    with open(file, 'a') as out:
        out.write(json.dumps(record, ensure_ascii=False) + '\n')

def fault():
    try:
        with open(path('fault')) as file:
            word = file.read().strip()
        os.remove(path('fault'))
        return word
    except FileNotFoundError:
        return ''

SESSION = 'file-%x' % time.time_ns()
TRANSCRIPT = os.path.join(os.environ['HOME'], '.iapeer-parrot/sessions', SESSION + '.jsonl')

def write(kind, **more):
    at = time.time()
    now = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at)) + '.%03dZ' % (at % 1 * 1000)
    os.makedirs(os.path.dirname(TRANSCRIPT), mode=0o700, exist_ok=True)
    if not os.path.exists(TRANSCRIPT):
        append(TRANSCRIPT, {'type': 'session', 'id': SESSION, 'model': 'parrot', 'cwd': os.getcwd(), 'timestamp': now})
    append(TRANSCRIPT, {'type': kind, 'timestamp': now, **more})

def hook(word, **more):
    told = {'session_id': SESSION, 'transcript_path': TRANSCRIPT, 'cwd': os.getcwd(), **more}
    subprocess.run([HOOK, word], input=json.dumps(told).encode(), stdout=subprocess.DEVNULL)

def title(text):
    with open('/dev/tty', 'w') as tty:
        tty.write('\033]2;%s\007' % text)

def die():
    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(7)

def take(text):
    what = fault()
    if what == 'deaf':
        return
    if what == 'die':
        die()
    if what == 'late':
        time.sleep(2)
    append(os.environ['PARROT_RECORD'], {'text': text})
    title('⠋ works')
    append(ECHO, {'type': 'user', 'message': {'role': 'user', 'content': [{'type': 'text', 'text': text}]}})
    if what != 'quiet':
        write('user', text=text)
        hook('prompt', prompt=text)
    if what == 'take-and-die':
        die()
    body = re.search(r'<!\[CDATA\[(\w*)', text)
    while body and body[1] == 'HOLD' and not os.path.exists(path('release')):
        time.sleep(0.005)
    title('parrot')
    if what != 'quiet':
        write('turn_end')
        hook('stop')

def serve():
    parent, at = os.getppid(), os.path.getsize(INPUT)
    append(ECHO, {'type': 'system', 'subtype': 'session_start'})
    while os.getppid() == parent:
        with open(INPUT, 'rb') as file:
            file.seek(at)
            new = file.read()
        new = new[:new.rfind(b'\n') + 1]
        at += len(new)
        for line in new.splitlines():
            take(json.loads(line)['text'])
        time.sleep(0.02)
    os._exit(0)

OWN = ('--parrot', '--turn', '--dir', '--input-file', '--json-file')
rest = [word for n, word in enumerate(sys.argv[1:], 1) if word not in OWN and sys.argv[n - 1] not in OWN]
if INPUT and not os.path.exists(path('missing')) and os.fork() == 0:
    serve()
if os.path.exists(path('missing')) and ECHO:
    os.remove(ECHO)
os.execv(PARROT, [PARROT, *rest])
