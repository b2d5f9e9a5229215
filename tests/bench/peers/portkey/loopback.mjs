// Portkey's gateway has no setting for the address that it listens on and takes all of them. Loaded before it
// (`node --import`), this leaves it the loopback one.
import net from "node:net";

const { listen } = net.Server.prototype;
net.Server.prototype.listen = function (port, _host, ...rest) {
  return listen.call(this, port, "127.0.0.1", ...rest);
};
