// Portkey's gateway has no option for the address that it listens at, and may ask 127.0.0.1 in its caller's name here:
// so nobody but this machine may reach it. Node loads this before the gateway, which stays as it comes.
import { Server } from "node:net";

const { listen } = Server.prototype;

Server.prototype.listen = function (port, ...others) {
  return listen.call(this, { port, host: "127.0.0.1" }, others.find((each) => typeof each === "function"));
};
