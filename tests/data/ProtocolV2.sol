// SPDX-License-Identifier: MIT
pragma solidity 0.8.24;

// Stand-ins for the contracts of Polymarket's Protocol V2, which have no published bytecode: what a copier sees and calls of
// them, by their addresses on Polygon, and nothing else. ProtocolV2.json has the code that stands at these addresses, built
// by solc 0.8.24 with the optimizer, 200 runs, for the EVM of Paris.

interface IMoney {
    function mint(address to, uint256 value) external;
}

IMoney constant MONEY = IMoney(0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB);
Positions constant POSITIONS = Positions(0x006F54F7f9A22e0000CC2AB60031000000ae9fEF);
uint256 constant DOLLAR = 1_000_000;

contract Positions {
    mapping(address => mapping(uint256 => uint256)) public balanceOf;
    mapping(address => mapping(address => bool)) public isApprovedForAll;
    mapping(uint256 => uint256[]) private results;

    error NotApproved();
    error ConditionNotResolved();

    function setApprovalForAll(address operator, bool approved) external {
        isApprovedForAll[msg.sender][operator] = approved;
    }

    function balanceOfBatch(address[] calldata owners, uint256[] calldata ids) external view returns (uint256[] memory had) {
        had = new uint256[](ids.length);
        for (uint256 at; at < ids.length; ++at) had[at] = balanceOf[owners[at]][ids[at]];
    }

    function getPayout(uint256 id, uint256 amount) public view returns (uint256) {
        uint256[] memory result = results[id >> 8];
        if (result.length != 2) revert ConditionNotResolved();
        return amount * result[id & 0xff] / DOLLAR;
    }

    function mint(address to, uint256 id, uint256 amount) external {
        balanceOf[to][id] += amount;
    }

    function burn(address from, uint256 id, uint256 amount) external {
        if (!isApprovedForAll[from][msg.sender]) revert NotApproved();
        balanceOf[from][id] -= amount;
    }

    function store(bytes31 condition, uint256[] calldata result) external {
        results[uint248(condition)] = result;
    }
}

contract Router {
    event Redeemed(address indexed wallet, uint256 indexed id, uint256 amount, uint256 payout);

    function redeem(bytes31 condition, uint256 outcome, uint256 amount) external {
        uint256 id = (uint256(uint248(condition)) << 8) | outcome;
        uint256 payout = POSITIONS.getPayout(id, amount);
        POSITIONS.burn(msg.sender, id, amount);
        MONEY.mint(msg.sender, payout);
        emit Redeemed(msg.sender, id, amount, payout);
    }
}

contract Module {
    event ConditionResolved(bytes31 indexed conditionId, uint256[] result);

    function reportResult(bytes31 condition, uint256[] calldata result) external {
        POSITIONS.store(condition, result);
        emit ConditionResolved(condition, result);
    }
}

contract Exchange {
    event OrderFilled(
        bytes32 indexed orderHash, address indexed maker, address indexed taker,
        uint8 side, uint256 tokenId, uint256 makerAmountFilled, uint256 takerAmountFilled, uint256 fee,
        bytes32 builder, bytes32 metadata
    );

    function buy(bytes32 order, address owner, uint256 id, uint256 cash, uint256 shares) external {
        emit OrderFilled(order, owner, address(this), 0, id, cash, shares, 0, 0, 0);
    }
}
