#!/usr/bin/env python3
"""A double of an agent program with an HTTP server of its own, as opencode 1.18.33 is.

usage: http_double.py --parrot PARROT --turn PROGRAM --dir DIR [--session ID] [--port N] ARGUMENTS...

It becomes the parrot. With --port, a child of it serves HTTP on that port and holds one conversation, kept in the parrot's
transcript of the working folder. It lets in who knows OPENCODE_SERVER_PASSWORD. What it is asked goes to DIR/asked, one JSON
line each; what it was given, to PARROT_RECORD.

A message that begins with
  HOLD    has a turn that lasts until DIR/release is there, or until it is aborted
  ASK     has a turn that asks for a permission, which is then in DIR/permissions

DIR/faults is a list of {"path", "do", "quiet", "times"}: what goes wrong with the next requests whose path ends so.
  "do"    error: 500, not taken · refuse: 400 · silent: not taken, never answered · lose: taken, and the connection is closed
          die: the program ends · take-and-die: taken, then the program ends · kill: whoever asks is killed
          take-and-kill: taken, then whoever asks is killed · take-and-error: taken, and 500
  "quiet" a message that is taken shows in no hook and no transcript
  "times" how often; once where it says nothing, for ever where it is 0
"""
import base64, glob, json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
sys.dont_write_bytecode = True
from double import LOCK, Session, append, die_with_the_terminal, fault, first_word, hold, others, path, value

PARROT, PORT = value('--parrot'), value('--port')

class Conversation(Session):
    """One conversation. What it holds is in the transcript, and what is quiet in a file that no one else knows."""

    def __init__(self, name):
        super().__init__(name, value('--turn'))
        self.kept = path(name + '.messages')
        self.busy, self.over, self.noted, self.permission = False, threading.Event(), None, None
        self.messages = [json.loads(line) for line in open(self.kept)] if os.path.exists(self.kept) else []

    def keep(self, role, text, parent=None):
        message = {'info': {'id': 'msg_%d' % len(self.messages), 'role': role, 'sessionID': self.id, 'parentID': parent},
                   'parts': [{'type': 'text', 'text': text}]}
        self.messages.append(message)
        append(self.kept, message)
        return message['info']['id']

    def take(self, text, quiet):
        with LOCK:
            if self.busy:
                append(path('asked'), {'path': 'CUT SHORT'})
            self.busy = True
            self.over.clear()
            append(os.environ['PARROT_RECORD'], {'text': text})
            asked = self.keep('user', text)
            self.keep('assistant', '', asked)
        noted = threading.Event()
        threading.Thread(target=self.run, args=(text, quiet, noted), daemon=True).start()
        return noted

    def run(self, text, quiet, noted):
        if not quiet:
            self.write('user', text=text)
            self.hook('prompt', prompt=text)
        noted.set()
        word = first_word(text)
        if word == 'HOLD':
            hold(self.over.is_set)
        elif word == 'ASK':
            self.permission = {'id': 'per_1', 'sessionID': self.id, 'permission': 'bash', 'patterns': ['rm crackers']}
            append(path('permissions'), self.permission)
            while self.permission and not self.over.is_set():
                time.sleep(0.005)
            self.permission = None
        with LOCK:
            if not quiet:
                self.write('interrupted' if self.over.is_set() else 'turn_end')
            self.busy = False
        if not quiet:
            self.hook('stop')

NOW = {}

def asker(port):
    """The process at the other end of a connection that comes from this port."""
    for line in open('/proc/net/tcp').read().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(':%04X' % port) and words[2].endswith(':%04X' % int(PORT)):
            for link in glob.glob('/proc/[0-9]*/fd/*'):
                try:
                    if os.readlink(link) == 'socket:[%s]' % words[9]:
                        return int(link.split('/')[2])
                except OSError:
                    pass

class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.serve({})

    def do_POST(self):
        self.serve(json.loads(self.rfile.read(int(self.headers['Content-Length'])) or b'{}'))

    def serve(self, body):
        asked = self.path.split('?')[0]
        append(path('asked'), {'path': asked, 'body': body})
        wanted = 'Basic ' + base64.b64encode(('opencode:' + os.environ['OPENCODE_SERVER_PASSWORD']).encode()).decode()
        if self.headers['Authorization'] != wanted:
            return self.say(401, {'error': 'who are you?'})
        wrong = fault(lambda one: asked.endswith(one['path']))
        what, quiet = wrong.get('do'), wrong.get('quiet', False)
        if what == 'silent':
            return time.sleep(60)
        if what in ('error', 'refuse'):
            return self.say(500 if what == 'error' else 400, {'error': 'the double\nrefuses'})
        if what == 'die':
            die_with_the_terminal()
        if what == 'kill':
            return os.kill(asker(self.client_address[1]), signal.SIGKILL)
        status, answer = self.answer(asked, body, quiet)
        if what in ('take-and-die', 'take-and-kill', 'take-and-error'):
            NOW['it'].noted.wait()
        if what == 'take-and-die':
            die_with_the_terminal()
        if what == 'take-and-kill':
            return os.kill(asker(self.client_address[1]), signal.SIGKILL)
        if what == 'take-and-error':
            return self.say(500, {'error': 'the double took it'})
        if what == 'lose':
            self.close_connection = True
            return self.connection.shutdown(2)
        self.say(status, answer)

    def say(self, status, answer):
        self.close_connection = True
        self.send_response(status)
        if status == 204:
            return self.end_headers()
        data = json.dumps(answer).encode()
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        for part in (data[:7], data[7:]):
            if part:
                self.wfile.write(b'%x\r\n%s\r\n' % (len(part), part))
        self.wfile.write(b'0\r\n\r\n')

    def answer(self, asked, body, quiet):
        now = NOW.get('it')
        if asked == '/session':
            NOW['it'] = Conversation('ses_%x' % time.time_ns())
            return 200, {'id': NOW['it'].id}
        if asked == '/tui/select-session':
            return 200, True
        if asked == '/session/status':
            return 200, {now.id: {'type': 'busy'}} if now and now.busy else {}
        if asked == '/permission':
            return 200, [now.permission] if now and now.permission else []
        if asked == '/permission/per_1/reply':
            append(path('decisions'), body['reply'])
            now.permission = None
            return 200, True
        # What is typed is the parrot's, in a conversation of another name; the real program has one.
        if now is None:
            now = NOW['it'] = Conversation(asked.split('/')[2])
        if asked.endswith('/message'):
            return 200, now.messages
        if asked.endswith('/prompt_async'):
            now.noted = now.take(body['parts'][0]['text'], quiet)
            return 204, None
        if asked.endswith('/abort'):
            now.over.set()
            return 200, True
        return 404, {'error': 'no such thing'}

def serve():
    if value('--session'):
        NOW['it'] = Conversation(value('--session'))
    server = ThreadingHTTPServer(('127.0.0.1', int(PORT)), Handler)
    server.daemon_threads = True
    server.serve_forever()

if PORT and not os.path.exists(path('missing')) and os.fork() == 0:
    serve()
os.execv(PARROT, [PARROT, *others('--parrot', '--turn', '--dir', '--session', '--port')])
