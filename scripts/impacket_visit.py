"""Logs on over SMB1 with impacket and checks what a workgroup Windows 7 answers. Argument: the port."""

import sys

from impacket.dcerpc.v5 import lsad, transport
from impacket.smb import SMB_DIALECT
from impacket.smbconnection import SessionError, SMBConnection

PORT = int(sys.argv[1])
ACCESS_DENIED = 0xC0000022
BAD_NETWORK_NAME = 0xC00000CC
LOGON_FAILURE = 0xC000006D


def connect():
    return SMBConnection("127.0.0.1", "127.0.0.1", sess_port=PORT, preferredDialect=SMB_DIALECT)


def refused(status, call, *arguments):
    try:
        call(*arguments)
    except SessionError as error:
        assert error.getErrorCode() == status, f"{arguments}: {error}"
        return
    raise AssertionError(f"{arguments} was not refused")


anonymous = connect()
assert anonymous.getDialect() == SMB_DIALECT, anonymous.getDialect()
anonymous.login("", "")
assert anonymous.getServerOS() == "Windows 7 Professional 7601 Service Pack 1", anonymous.getServerOS()
assert not anonymous.isSigningRequired()
assert anonymous.getServerName().startswith("WIN-"), anonymous.getServerName()
tree = anonymous.connectTree("IPC$")
assert tree == 0x800, hex(tree)
lsarpc = anonymous.openFile(tree, "\\lsarpc")
assert lsarpc == 0x4000, hex(lsarpc)
for pipe in ("\\spoolss", "\\browser"):
    refused(ACCESS_DENIED, anonymous.openFile, tree, pipe)
for share in ("C$", "ADMIN$"):
    refused(ACCESS_DENIED, anonymous.connectTree, share)
refused(BAD_NETWORK_NAME, anonymous.connectTree, "nothere")
anonymous.closeFile(tree, lsarpc)
anonymous.disconnectTree(tree)
anonymous.logoff()

refused(LOGON_FAILURE, connect().login, "bob", "secret", "WORKGROUP")

pipe = transport.DCERPCTransportFactory("ncacn_np:127.0.0.1[\\pipe\\lsarpc]")
pipe.set_dport(PORT)
pipe.preferred_dialect(SMB_DIALECT)
pipe.set_credentials("", "")
rpc = pipe.get_dce_rpc()
rpc.connect()
rpc.bind(lsad.MSRPC_UUID_LSAD)

print("all as on Windows 7")
