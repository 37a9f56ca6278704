"""What travels over NATS: the protobuf messages, and the Python code that is generated from them.

A message of `gaming/game/v1/state.proto` is imported as `from proto.generated.gaming.game.v1.state_pb2 import GetStateRequest`, or
found by its full name with `proto.messages.message_class("gaming.game.v1.GetStateRequest")`. The root of the protobuf packages is
`gaming` and not `fleet`, which is the operator's command.
"""
