#!/usr/bin/env python3
"""A stub of Telegram's Bot API on 127.0.0.1: prints its port, then serves.

POST /control {...}, each key an order:
  "token": "…"            the one token that counts (anything else is 401)
  "push": [{message or callback_query}, …]   updates to come, numbered here
  "fail": {"METHOD": [{"status": 429, "retry_after": 1} | {"status": 500} | {"status": 400} | {"drop": true}, …]}
                          what the next calls of a method come to; {}: well; "drop": the call is carried out, the
                          answer is not given
  "heal": true            nothing fails any more
  "files": {"ID": "text"} files that people have sent
GET /control: {"calls": [{"method", "arguments", "ok"}], "pending": N, "confirmed": N}
"""
import json, re, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Condition()
S = {'token': '', 'updates': [], 'next': 1000, 'message': 1, 'calls': [], 'fail': {}, 'files': {}, 'confirmed': 0}


def units(text):
    return len(text.encode('utf-16-le')) // 2


def multipart(kind, body):
    mark = b'--' + re.search('boundary=(.*)', kind).group(1).encode()
    found = {}
    for part in body.split(mark)[1:-1]:
        head, _, content = part.strip(b'\r\n').partition(b'\r\n\r\n')
        name = re.search(rb'name="([^"]*)"', head).group(1).decode()
        file = re.search(rb'filename="([^"]*)"', head)
        found[name] = {'name': file.group(1).decode(), 'content': content.decode('utf-8', 'replace')} if file else content.decode()
    return found


class Refused(Exception):
    pass


def carry_out(method, arguments):
    """The result of a call; LOCK is held."""
    if method == 'getMe':
        return {'id': int(S['token'].split(':')[0]), 'is_bot': True, 'username': 'Stub_bot'}
    if method == 'getUpdates':
        offset = arguments.get('offset', 0)
        S['confirmed'] += sum(u['update_id'] < offset for u in S['updates'])
        S['updates'] = [u for u in S['updates'] if u['update_id'] >= offset]
        end = time.monotonic() + arguments.get('timeout', 0)
        while not S['updates'] and time.monotonic() < end:
            LOCK.wait(end - time.monotonic())
        return S['updates'][:100]
    if method in ('sendMessage', 'sendDocument'):
        if method == 'sendMessage' and not 0 < units(arguments['text'].strip()) <= units(arguments['text']) <= 4096:
            raise Refused('Bad Request: message is too long or empty')
        S['message'] += 1
        return {'message_id': S['message'], 'date': int(time.time()), 'chat': {'id': int(arguments['chat_id']), 'type': 'private'}}
    if method == 'getFile':
        if arguments['file_id'] not in S['files']:
            raise Refused('Bad Request: file is too big')
        return {'file_id': arguments['file_id'], 'file_path': 'documents/' + arguments['file_id']}
    if method in ('deleteWebhook', 'answerCallbackQuery', 'editMessageReplyMarkup'):
        return True
    raise Refused('Not Found: ' + method)


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, value, raw=False):
        body = value.encode() if raw else json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == '/control':
            with LOCK:
                return self.answer(200, {k: S[k] for k in ('calls', 'confirmed')} | {'pending': len(S['updates'])})
        found = re.fullmatch('/file/bot([^/]*)/documents/(.*)', self.path)
        if not found or found.group(1) != S['token'] or found.group(2) not in S['files']:
            return self.answer(404, 'not found', raw=True)
        self.answer(200, S['files'][found.group(2)], raw=True)

    def control(self, order):
        with LOCK:
            S['token'] = order.get('token', S['token'])
            S['files'].update(order.get('files', {}))
            if order.get('heal'):
                S['fail'].clear()
            for method, fates in order.get('fail', {}).items():
                S['fail'].setdefault(method, []).extend(fates)
            for update in order.get('push', []):
                S['updates'].append({'update_id': S['next']} | update)
                S['next'] += 1
            LOCK.notify_all()
        self.answer(200, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        if self.path == '/control':
            return self.control(json.loads(body))
        found = re.fullmatch('/bot([^/]*)/([A-Za-z]+)', self.path)
        if not found:
            return self.answer(404, {'ok': False, 'error_code': 404, 'description': 'Not Found'})
        token, method = found.groups()
        kind = self.headers.get('Content-Type', '')
        arguments = multipart(kind, body) if kind.startswith('multipart') else json.loads(body or b'{}')
        with LOCK:
            call = {'method': method, 'arguments': arguments, 'ok': False}
            if method != 'getUpdates':
                S['calls'].append(call)
            if token != S['token']:
                return self.answer(401, {'ok': False, 'error_code': 401, 'description': 'Unauthorized'})
            fate = S['fail'].get(method, [])
            fate = fate.pop(0) if fate else {}
            if 'status' in fate:
                more = {'parameters': {'retry_after': fate['retry_after']}} if 'retry_after' in fate else {}
                description = fate.get('description', 'the stub was told to fail')
                return self.answer(fate['status'], {'ok': False, 'error_code': fate['status'], 'description': description} | more)
            try:
                result = carry_out(method, arguments)
            except Refused as refused:
                return self.answer(400, {'ok': False, 'error_code': 400, 'description': str(refused)})
            call['ok'] = True
            call['result'] = result
        if fate.get('drop'):
            # The connection is lost in the middle of the answer.
            self.send_response(200)
            self.send_header('Content-Length', '1000')
            self.end_headers()
            self.wfile.write(b'{"ok": tr')
            self.close_connection = True
            return
        self.answer(200, {'ok': True, 'result': result})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a bridge that was killed


server = Server(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
