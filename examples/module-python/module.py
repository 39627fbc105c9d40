#!/usr/bin/env python3
"""A detector in a program of its own: hosts that log in over Telnet, where everybody on the way reads the password.

Change NAME, VERSION and inspect() and you have another one; everything else stays as it is.
"""

import argparse
import ipaddress
import queue
import sys
import time

import grpc

NAME = "telnet"
VERSION = "1"


def inspect(pb, update):
    """Findings about one update of a profile in a window: `update.flows` and `update.apps` are what is new."""
    profile = update.delta.profile
    for report in update.flows:
        flow = report.flow
        mine = flow.tuple.originator_ip == profile
        telnet = flow.tuple.protocol == 6 and flow.tuple.responder_port == 23
        if not (mine and telnet and flow.state == pb.flow.CONN_STATE_SF):
            continue
        server = flow.tuple.responder_ip
        yield pb.module.Finding(
            profile=profile,
            # One finding for each server in each window, however many flows.
            key=server.hex(),
            threat_level=pb.evidence.THREAT_LEVEL_LOW,
            confidence=0.9,
            description=f"Telnet to {address(server)}: passwords travel in the clear.",
            first=flow.first,
            last=flow.last,
            victim=server,
            dst_port=23,
            protocol=6,
            flows=[flow.community_id],
        )


def address(octets):
    return str(ipaddress.ip_address(octets))


class Messages:
    """The generated modules."""

    def __init__(self, stubs):
        sys.path.insert(0, stubs)
        from lynceus.v1 import evidence_pb2, flow_pb2, module_pb2, profile_pb2

        self.evidence, self.flow = evidence_pb2, flow_pb2
        self.module, self.profile = module_pb2, profile_pb2


def attach(pb, channel):
    """Works until the collector goes away."""
    answers = Answers()
    answers.put(pb.module.FromModule(hello=pb.module.ModuleHello(name=NAME, version=VERSION)))
    call = channel.stream_stream(
        "/lynceus.v1.Module/Attach",
        request_serializer=pb.module.FromModule.SerializeToString,
        response_deserializer=pb.module.ToModule.FromString,
    )
    try:
        for message in call(iter(answers)):
            answer(pb, message, answers)
    finally:
        answers.put(None)


def answer(pb, message, answers):
    what = message.WhichOneof("message")
    if what == "welcome":
        print(f"attached, goes on after entry {message.welcome.cursor}", flush=True)
    elif what == "updates":
        for update in message.updates.updates:
            for finding in inspect(pb, update):
                answers.put(pb.module.FromModule(finding=finding))
        # Only after its findings: together they become durable.
        ack = pb.module.ModuleAck(cursor=message.updates.cursor)
        answers.put(pb.module.FromModule(ack=ack))
    elif what == "gap":
        print(f"entries {message.gap.first} to {message.gap.last} are gone", flush=True)
    elif what == "refused":
        print(f"finding {message.refused.key} refused: {message.refused.reason}", flush=True)


class Answers:
    """What goes to the collector; gRPC takes it on a thread of its own."""

    def __init__(self):
        self.queue = queue.Queue()

    def put(self, message):
        self.queue.put(message)

    def __iter__(self):
        return iter(self.queue.get, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collector", default="127.0.0.1:7443", help="host:port or unix:/path")
    parser.add_argument("--stubs", required=True, help="folder that stubs.sh filled")
    options = parser.parse_args()
    pb = Messages(options.stubs)
    while True:
        try:
            limits = [("grpc.max_receive_message_length", 8 << 20)]
            with grpc.insecure_channel(options.collector, options=limits) as channel:
                attach(pb, channel)
            print("the collector ended the stream", flush=True)
        except grpc.RpcError as error:
            print(f"{error.code().name}: {error.details()}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()
