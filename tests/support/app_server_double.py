#!/usr/bin/env python3
"""A double of an agent program that has an app-server beside its terminal, as Codex 0.171.0 has.

usage: app_server_double.py --parrot PARROT ARGUMENTS...                the program in the terminal: becomes the parrot
       app_server_double.py --app-server --listen SOCKET --hook PROGRAM --dir DIR      the server

The server speaks JSON-RPC over a WebSocket on SOCKET and holds one conversation, kept in the parrot's transcript of the
working folder. What it is asked goes to DIR/asked, one JSON line each; what it was given, to PARROT_RECORD.

A message that begins with
  HOLD    has a turn that lasts until DIR/release is there
  ASK     has a turn that asks for an approval: the hook first, then everybody who follows the conversation
  LIMIT   has a turn that ends in a limit, of which the transcript alone tells

DIR/faults is a list of {"method", "do", "quiet", "times"}: what goes wrong with the next requests of that name.
  "do"    error: answered by an error · silent: not taken, never answered · lose: taken, and the connection is closed
          die: the server ends · take-and-die: taken, then the server ends · kill: whoever asks is killed
          take-and-kill: taken, then whoever asks is killed
  "quiet" a message that is taken shows in no hook and no transcript, and no item is told of
  "times" how often; once where it says nothing, for ever where it is 0
"""
import base64, glob, hashlib, json, os, re, signal, socket, struct, sys, threading, time
sys.dont_write_bytecode = True
from double import CWD, LOCK, SESSIONS, Session, append, fault, first_word, hold, path, value

if sys.argv[1] == '--parrot':
    os.execv(sys.argv[2], sys.argv[2:])

class Conversation(Session):
    """One conversation, and who follows it."""

    def __init__(self):
        self.items, self.followers, self.flags = [], [], []
        self.turn, self.turns, self.asked, self.decision, self.noted = None, 0, {}, None, None
        self.over = threading.Event()
        known = sorted(glob.glob(SESSIONS + '/*.jsonl'), key=os.path.getmtime)
        of_here = [one for one in known if json.loads(open(one).readline())['cwd'] == CWD]
        new = hashlib.sha256(os.urandom(8)).hexdigest()[:26]
        super().__init__(os.path.basename(of_here[-1])[:-6] if of_here else new, value('--hook'))
        if of_here:
            for line in open(self.file):
                record = json.loads(line)
                if record['type'] == 'user':
                    self.items.append({'type': 'userMessage', 'clientId': record.get('client')})

    def status(self):
        return {'type': 'active', 'activeFlags': self.flags} if self.turn else {'type': 'idle'}

    def tell(self, message):
        for one in list(self.followers):
            one.send(message)

    def take(self, params, quiet):
        """A message goes into the conversation: a new turn, or the running one."""
        text, client = params['input'][0]['text'], params['clientUserMessageId']
        item = {'type': 'userMessage', 'clientId': client}
        with LOCK:
            self.items.append(item)
            new = self.turn is None
            if new:
                self.turns += 1
                self.turn = 'turn-%d' % self.turns
                self.over.clear()
        append(os.environ['PARROT_RECORD'], {'text': text})
        noted = threading.Event()
        threading.Thread(target=self.run, args=(text, client, item, quiet, new, noted), daemon=True).start()
        return noted

    def run(self, text, client, item, quiet, new, noted):
        if not quiet:
            self.tell({'method': 'item/started', 'params': {'threadId': self.id, 'item': item}})
            self.write('user', text=text, client=client)
            self.hook('prompt', hook_event_name='UserPromptSubmit', prompt=text)
        noted.set()
        if not new:
            return
        word = first_word(text)
        error = None
        if word == 'HOLD':
            hold(self.over.is_set)
        elif word == 'ASK':
            self.approve()
        elif word == 'LIMIT':
            error = 'limit'
        with LOCK:
            stopped = self.over.is_set()
            if not quiet:
                if error:
                    self.write('error', error=error, text='Out of crackers, more at ' + in_an_hour())
                elif stopped:
                    self.write('interrupted')
                else:
                    self.write('assistant', text='Squawk')
                    self.write('turn_end')
            self.turn = None
        if not quiet and not stopped and not error:
            self.hook('stop', hook_event_name='Stop')

    def approve(self):
        self.flags = ['waitingOnApproval']
        said = self.hook('approval', hook_event_name='PermissionRequest', tool_name='Bash',
                         tool_input={'command': 'rm crackers'})
        decision = json.loads(said)['hookSpecificOutput']['decision']['behavior'] if said.strip() else None
        if decision is None:
            self.decision = None
            request = {'id': 'ask-%d' % self.turns, 'method': 'item/commandExecution/requestApproval',
                       'params': {'threadId': self.id, 'command': 'rm crackers'}}
            self.asked[request['id']] = request
            self.tell(request)
            while self.decision is None and not self.over.is_set():
                time.sleep(0.005)
            decision = self.decision
        self.flags = []
        append(path('decisions'), decision)

def in_an_hour():
    """Not a fixed time of day, which may be the next minute."""
    return time.strftime('%H:%M', time.localtime(time.time() + 3600))

CONVERSATION = None

class Client:
    """One connection."""

    def __init__(self, connection):
        self.socket, self.lock = connection, threading.Lock()
        self.pid = struct.unpack('3i', connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def exactly(self, n):
        data = b''
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def frames(self):
        """The texts that come."""
        head = b''
        while b'\r\n\r\n' not in head:
            head += self.exactly(1)
        key = re.search(rb'(?i)sec-websocket-key: *(\S+)', head)[1]
        accept = base64.b64encode(hashlib.sha1(key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest())
        self.socket.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                            b'Sec-WebSocket-Accept: ' + accept + b'\r\n\r\n')
        while True:
            first, length = self.exactly(2)
            length &= 127
            if length == 126:
                length, = struct.unpack('>H', self.exactly(2))
            elif length == 127:
                length, = struct.unpack('>Q', self.exactly(8))
            mask, data = self.exactly(4), self.exactly(length)
            if first & 15 == 8:
                return
            if first & 15 == 1:
                # As one number each: a byte at a time would take longer than the rest.
                pad = (mask * (length // 4 + 1))[:length]
                yield (int.from_bytes(data, 'big') ^ int.from_bytes(pad, 'big')).to_bytes(length, 'big').decode()

    def send(self, message):
        data = json.dumps(message).encode()
        head = bytes([0x81, len(data)]) if len(data) < 126 else b'\x81\x7e' + struct.pack('>H', len(data))
        if len(data) > 65535:
            head = b'\x81\x7f' + struct.pack('>Q', len(data))
        try:
            with self.lock:
                self.socket.sendall(head + data)
        except OSError:
            pass

    def serve(self):
        try:
            for text in self.frames():
                message = json.loads(text)
                if 'method' not in message:
                    CONVERSATION.decision = message['result']['decision']
                elif 'id' in message:
                    self.request(message['id'], message['method'], message['params'])
        except (EOFError, OSError):
            pass
        finally:
            if self in CONVERSATION.followers:
                CONVERSATION.followers.remove(self)
            self.socket.close()

    def request(self, number, method, params):
        append(path('asked'), {'method': method, 'params': params})
        wrong = fault(lambda one: one['method'] == method)
        what, quiet = wrong.get('do'), wrong.get('quiet', False)
        if what == 'silent':
            return
        if what == 'error':
            return self.send({'id': number, 'error': {'code': -32600, 'message': 'the double\nrefuses'}})
        if what == 'die':
            os._exit(7)
        if what == 'kill':
            return os.kill(self.pid, signal.SIGKILL)
        answer = self.answer(method, params, quiet)
        if what in ('take-and-die', 'take-and-kill'):
            CONVERSATION.noted.wait()
        if what == 'take-and-die':
            os._exit(7)
        if what == 'take-and-kill':
            return os.kill(self.pid, signal.SIGKILL)
        if what == 'lose':
            return self.socket.shutdown(socket.SHUT_RDWR)
        self.send({'id': number, **answer})

    def answer(self, method, params, quiet):
        now = CONVERSATION
        refuse = lambda why: {'error': {'code': -32600, 'message': why}}
        thread = {'id': now.id, 'ephemeral': False, 'parentThreadId': None, 'status': now.status()}
        if method == 'initialize':
            return {'result': {'userAgent': 'double'}}
        if method == 'thread/loaded/list':
            return {'result': {'data': [now.id]}}
        if method == 'thread/read':
            return {'result': {'thread': thread}}
        if method == 'thread/resume':
            if not now.items:
                return refuse('no rollout found for thread id ' + now.id)
            now.followers.append(self)
            for asked in now.asked.values():
                self.send(asked)
            return {'result': {'thread': thread}}
        if method == 'thread/items/list':
            return {'result': {'data': [{'item': item} for item in reversed(now.items)][:params['limit']]}}
        if method == 'thread/turns/list':
            return {'result': {'data': [{'id': now.turn or 'turn-%d' % now.turns}]}}
        if method == 'turn/start':
            with LOCK:
                if now.turn:
                    append(path('asked'), {'method': 'CUT SHORT'})
                now.noted = now.take(params, quiet)
            return {'result': {'turn': {'id': now.turn}}}
        if method == 'turn/steer':
            if params['expectedTurnId'] != now.turn:
                return refuse('no such turn is running')
            now.noted = now.take(params, quiet)
            return {'result': {'turnId': now.turn}}
        if method == 'turn/interrupt':
            if params['turnId'] != now.turn:
                return refuse('no such turn is running')
            now.over.set()
            return {'result': {}}
        return refuse('unknown method ' + method)

if os.path.exists(path('lingers')):
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
if os.path.exists(path('missing')):
    sys.exit('the double does not start')
CONVERSATION = Conversation()
listener = socket.socket(socket.AF_UNIX)
listener.bind(value('--listen'))
listener.listen(64)
CONVERSATION.hook('start', hook_event_name='SessionStart')
while True:
    connection, _ = listener.accept()
    threading.Thread(target=Client(connection).serve, daemon=True).start()
