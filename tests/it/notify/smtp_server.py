"""SMTP server of the tests: `smtp_server.py MODE DIRECTORY`.

MODE is starttls or smtps (both want the user "me" with a password), or plain. It prints its port. Each mail becomes a line of JSON in
DIRECTORY/mails; the first word of DIRECTORY/answer, if there is one, is the status of the answer to each.
"""

import json
import pathlib
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

mode, directory = sys.argv[1], pathlib.Path(sys.argv[2])


class Handler:
    async def handle_DATA(self, server, session, envelope):
        answer = directory / "answer"
        status = answer.read_text().strip() if answer.exists() else "250"
        mail = {
            "status": status,
            "tls": session.ssl is not None or mode == "smtps",
            "authenticated": bool(session.authenticated),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode("utf-8", "replace"),
        }
        with (directory / "mails").open("a") as file:
            file.write(json.dumps(mail) + "\n")
        return f"{status} as the test says"


def authenticate(server, session, envelope, mechanism, data):
    is_known = data.login == b"me" and data.password == b"classified p@ss"
    return AuthResult(success=is_known, handled=False)


options = {}
if mode != "plain":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    options = {"authenticator": authenticate, "auth_required": True}
    if mode == "smtps":
        options |= {"ssl_context": context, "auth_require_tls": False}
    else:
        options |= {"tls_context": context, "require_starttls": True}


class AnyPort(Controller):
    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


controller = AnyPort(Handler(), hostname="127.0.0.1", port=0, **options)
controller.start()
print(controller.port, flush=True)
while True:
    time.sleep(3600)
