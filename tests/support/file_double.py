#!/usr/bin/env python3
"""A double of an agent program that reads messages from a file while it runs, as Qwen Code 0.24.4 does.

usage: file_double.py --parrot PARROT --turn PROGRAM --dir DIR [--input-file FILE --json-file FILE] ARGUMENTS...

It becomes the parrot. With --input-file, a child of it reads that file, from its size at the start on, and echoes what a turn
takes to the file of --json-file. What it was given goes to PARROT_RECORD. While a turn of it runs, the terminal's title says so;
a message that begins with HOLD has one that lasts until DIR/release is there.

DIR/fault is a word, which is used up by the next message:
  deaf    not taken · late: taken after more than a second · die: the program ends before it takes it
  take-and-die: taken, then the program ends · quiet: no hook, no transcript, only the echo
While DIR/repaint is there, the terminal is blank, for 0.4 s; DIR/blank says that it is.
"""
import json, os, sys, time
sys.dont_write_bytecode = True
from double import Session, append, die_with_the_terminal, first_word, hold, others, path, value

PARROT, INPUT, ECHO = value('--parrot'), value('--input-file'), value('--json-file')
SESSION = Session('file-%x' % time.time_ns(), value('--turn'))

def fault():
    try:
        with open(path('fault')) as file:
            word = file.read().strip()
        os.remove(path('fault'))
        return word
    except FileNotFoundError:
        return ''

def write(text):
    with open('/dev/tty', 'w') as tty:
        tty.write(text)

def title(text):
    write('\033]2;%s\007' % text)

def repaint():
    """The other screen of the terminal is blank; the first one comes back as it was."""
    write('\033[?1049h')
    open(path('blank'), 'w').close()
    time.sleep(0.4)
    write('\033[?1049l')
    os.remove(path('repaint'))

def take(text):
    what = fault()
    if what == 'deaf':
        return
    if what == 'die':
        die_with_the_terminal()
    if what == 'late':
        time.sleep(1.2)
    append(os.environ['PARROT_RECORD'], {'text': text})
    title('⠋ works')
    append(ECHO, {'type': 'user', 'message': {'role': 'user', 'content': [{'type': 'text', 'text': text}]}})
    if what != 'quiet':
        SESSION.write('user', text=text)
        SESSION.hook('prompt', prompt=text)
    if what == 'take-and-die':
        die_with_the_terminal()
    if first_word(text) == 'HOLD':
        hold()
    title('parrot')
    if what != 'quiet':
        SESSION.write('turn_end')
        SESSION.hook('stop')

def serve():
    parent, at = os.getppid(), os.path.getsize(INPUT)
    append(ECHO, {'type': 'system', 'subtype': 'session_start'})
    while os.getppid() == parent:
        if os.path.exists(path('repaint')):
            repaint()
        with open(INPUT, 'rb') as file:
            file.seek(at)
            new = file.read()
        new = new[:new.rfind(b'\n') + 1]
        at += len(new)
        for line in new.splitlines():
            take(json.loads(line)['text'])
        time.sleep(0.02)
    os._exit(0)

if INPUT and not os.path.exists(path('missing')) and os.fork() == 0:
    serve()
if os.path.exists(path('missing')) and ECHO:
    os.remove(ECHO)
os.execv(PARROT, [PARROT, *others('--parrot', '--turn', '--dir', '--input-file', '--json-file')])
