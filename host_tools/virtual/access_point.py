"""A network between a virtual device and its broker that can go away: TCP passed on, or swallowed without a word."""

from __future__ import annotations

import selectors
import socket
import threading

_PIECE = 65536
_LOOK_S = 0.2


class AccessPoint:
    """Listens on a free loopback port (`port`) and passes each connection on to 127.0.0.1:`target`.

    While `away`, nothing passes and nobody is told, as when a radio is out of reach; connections that were open then
    never recover. Model limits: no latency, no limited rate.
    """

    def __init__(self, target: int):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.away = False
        self._far: dict[socket.socket, socket.socket | None] = {}  # by the near end; None: lost
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="access point", daemon=True)
        self._thread.start()

    def __enter__(self) -> AccessPoint:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(5)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _run(self) -> None:
        was_away = False
        while not self._stopping:
            for key, _ in self._selector.select(_LOOK_S):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj.fileno() >= 0:  # type: ignore[union-attr]
                    self._pass(key.fileobj, key.data)  # type: ignore[arg-type]
            if self.away and not was_away:
                self._lose()
            was_away = self.away

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = None
        if not self.away:
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 1)
            except OSError:  # the broker is not there: refused, as it would be
                near.close()
                return
            self._selector.register(far, selectors.EVENT_READ, near)
        self._far[near] = far
        self._selector.register(near, selectors.EVENT_READ, near)

    def _pass(self, source: socket.socket, near: socket.socket) -> None:
        far = self._far[near]
        try:
            data = source.recv(_PIECE)
            if data:
                sink = far if source is near else near
                if sink is not None:  # else swallowed
                    sink.sendall(data)
                return
        except OSError:
            pass
        del self._far[near]
        for end in (near, far):
            if end is not None:
                self._selector.unregister(end)
                end.close()

    def _lose(self) -> None:
        """The far ends are closed, the near ones hear nothing any more."""
        for near, far in list(self._far.items()):
            if far is not None:
                self._selector.unregister(far)
                far.close()
                self._far[near] = None
                self._selector.modify(near, selectors.EVENT_READ, near)
