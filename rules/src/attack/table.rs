//! ATT&CK Enterprise v19 and ATLAS: which ids there are, the tactics of each, and what replaced those that are no more.
//!
//! Facts, not text: ids and the matrix they stand in. Of a few techniques of the former Defense Evasion we do not know
//! whether v19 put them under Stealth or Defense Impairment; they have both. A sub-technique has its parent's tactics.
//!
//! Source: MITRE ATT&CK Enterprise v17 to v19, `attack.mitre.org/resources/versions`; MITRE ATLAS.

/// The version of ATT&CK that this is.
pub const VERSION: &str = "19";

/// Short name, tag, id and name of every tactic, in the order of the matrix.
pub const TACTICS: &[(&str, &str, &str, &str)] = &[
    ("rec", "reconnaissance", "TA0043", "Reconnaissance"),
    ("res", "resource-development", "TA0042", "Resource Development"),
    ("ini", "initial-access", "TA0001", "Initial Access"),
    ("exe", "execution", "TA0002", "Execution"),
    ("per", "persistence", "TA0003", "Persistence"),
    ("pri", "privilege-escalation", "TA0004", "Privilege Escalation"),
    ("ste", "stealth", "TA0005", "Stealth"),
    ("dim", "defense-impairment", "TA0112", "Defense Impairment"),
    ("cre", "credential-access", "TA0006", "Credential Access"),
    ("dis", "discovery", "TA0007", "Discovery"),
    ("lat", "lateral-movement", "TA0008", "Lateral Movement"),
    ("col", "collection", "TA0009", "Collection"),
    ("c2", "command-and-control", "TA0011", "Command and Control"),
    ("exf", "exfiltration", "TA0010", "Exfiltration"),
    ("imp", "impact", "TA0040", "Impact"),
];

/// Technique, tactics, sub-techniques.
pub(super) const TECHNIQUES: &str = "\
    1001 c2 1-3; 1003 cre 1-8; 1005 col; 1006 ste; 1007 dis; 1008 c2; 1010 dis; 1011 exf 1; 1012 dis; 1014 ste; \
    1016 dis 1-2; 1018 dis; 1020 exf 1; 1021 lat 1-8; 1025 col; 1027 ste 1-18; 1029 exf; 1030 exf; 1033 dis; \
    1036 ste 1-12; 1037 per+pri 1-5; 1039 col; 1040 cre+dis; 1041 exf; 1046 dis; 1047 exe; 1048 exf 1-3; 1049 dis; \
    1052 exf 1; 1053 exe+per+pri 2-3,5-7; 1055 pri+ste 1-5,8-9,11-15; 1056 cre+col 1-4; 1057 dis; 1059 exe 1-13; \
    1068 pri; 1069 dis 1-3; 1070 ste 3-10; 1071 c2 1-4; 1072 exe+lat; 1074 col 1-2; 1078 ini+per+pri+ste 1-4; 1080 lat; \
    1082 dis; 1083 dis; 1087 dis 1-4; 1090 c2 1-4; 1091 ini+lat; 1092 c2; 1095 c2; 1098 per+pri 1-7; 1102 c2 1-3; \
    1104 c2; 1105 c2; 1106 exe; 1110 cre 1-4; 1111 cre; 1112 per+dim; 1113 col; 1114 col 1-3; 1115 col; 1119 col; \
    1120 dis; 1123 col; 1124 dis; 1125 col; 1127 ste 1-3; 1129 exe; 1132 c2 1-2; 1133 ini+per; 1134 pri+ste 1-5; \
    1135 dis; 1136 per 1-3; 1137 per 1-6; 1140 ste; 1176 per 1-2; 1185 col; 1187 cre; 1189 ini; 1190 ini; 1195 ini 1-3; \
    1197 per+ste; 1199 ini; 1200 ini; 1201 dis; 1202 ste; 1203 exe; 1204 exe 1-5; 1205 per+ste+dim+c2 1-2; 1207 dim; \
    1210 lat; 1211 ste+dim; 1212 cre; 1213 col 1-6; 1216 ste 1-2; 1217 dis; 1218 ste 1-5,7-15; 1219 c2 1-3; 1220 ste; \
    1221 ste; 1222 dim 1-2; 1480 ste+dim 1-2; 1482 dis; 1484 pri+dim 1-2; 1485 imp 1; 1486 imp; 1489 imp; 1490 imp; \
    1491 imp 1-2; 1495 imp; 1496 imp 1-4; 1497 ste+dis 1-3; 1498 imp 1-2; 1499 imp 1-4; 1505 per 1-6; 1518 dis 1-2; \
    1525 per; 1526 dis; 1528 cre; 1529 imp; 1530 col; 1531 imp; 1534 lat; 1535 ste+dim; 1537 exf; 1538 dis; 1539 cre; \
    1542 per+ste 1-5; 1543 per+pri 1-5; 1546 per+pri 1-18; 1547 per+pri 1-10,12-15; 1548 pri 1-6; 1550 lat 1-4; \
    1552 cre 1-8; 1553 dim 1-6; 1554 per; 1555 cre 1-6; 1556 per+dim+cre 1-9; 1557 cre+col 1-4; 1558 cre 1-5; \
    1559 exe 1-3; 1560 col 1-3; 1561 imp 1-2; 1563 lat 1-2; 1564 ste 1-14; 1565 imp 1-3; 1566 ini 1-4; 1567 exf 1-4; \
    1568 c2 1-3; 1569 exe 1-3; 1570 lat; 1571 c2; 1572 c2; 1573 c2 1-2; 1574 per+pri+ste 1,4-14; 1578 dim 1-5; \
    1580 dis; 1583 res 1-8; 1584 res 1-8; 1585 res 1-3; 1586 res 1-3; 1587 res 1-4; 1588 res 1-7; 1589 rec 1-3; \
    1590 rec 1-6; 1591 rec 1-4; 1592 rec 1-4; 1593 rec 1-3; 1594 rec; 1595 rec 1-3; 1596 rec 1-5; 1597 rec 1-2; \
    1598 rec 1-4; 1599 dim 1; 1600 dim 1-2; 1601 dim 1-2; 1602 col 1-2; 1606 cre 1-2; 1608 res 1-6; 1609 exe; \
    1610 exe+ste+dim; 1611 pri; 1612 ste+dim; 1613 dis; 1614 dis 1; 1615 dis; 1619 dis; 1620 ste; 1621 cre; \
    1622 ste+dis; 1647 ste+dim; 1648 exe; 1649 cre; 1650 res; 1651 exe; 1652 dis; 1653 per; 1654 dis; 1657 imp; \
    1659 ini+c2; 1665 c2; 1666 dim; 1667 imp; 1668 per; 1669 ini; 1671 per; 1673 dis; 1674 exe; 1675 exe; 1677 exe; \
    1678 ste; 1679 ste; 1680 dis; 1681 rec; 1682 rec; 1683 res 1-2; 1684 ini+ste 1-2; 1685 dim 1-6; 1686 dim 1-3; \
    1687 dim; 1688 dim; 1689 dim; 1690 dim";

/// Revoked id, and what replaced it.
pub(super) const REVOKED: &str = "\
    1002 1560; 1004 1547.004; 1009 1027.001; 1013 1547.010; 1015 1546.008; 1019 1542.001; 1022 1560; 1023 1547.009; \
    1024 1573; 1028 1021.006; 1031 1543.003; 1032 1573; 1035 1569.002; 1038 1574.001; 1042 1546.001; 1045 1027.002; \
    1050 1543.003; 1054 1685; 1058 1574.011; 1060 1547.001; 1063 1518.001; 1065 1571; 1066 1027.005; 1067 1542.003; \
    1073 1574.001; 1075 1550.002; 1076 1021.001; 1077 1021.002; 1081 1552.001; 1084 1546.003; 1085 1218.011; \
    1086 1059.001; 1088 1548.002; 1089 1685; 1093 1055.012; 1094 1095; 1096 1564.004; 1097 1550.003; 1099 1070.006; \
    1100 1505.003; 1101 1547.005; 1103 1546.010; 1107 1070.004; 1116 1553.002; 1117 1218.010; 1118 1218.004; \
    1121 1218.009; 1122 1546.015; 1126 1070.005; 1128 1546.007; 1130 1553.004; 1131 1547.002; 1138 1546.011; \
    1139 1552.003; 1141 1056.002; 1142 1555.001; 1143 1564.003; 1144 1553.001; 1145 1552.004; 1146 1070.003; \
    1147 1564.002; 1148 1690; 1150 1647; 1151 1036.006; 1152 1569.001; 1154 1546.005; 1155 1059.002; 1156 1546.004; \
    1157 1574.004; 1158 1564.001; 1159 1543.001; 1160 1543.004; 1161 1546.006; 1163 1037.004; 1164 1547.007; \
    1165 1037.005; 1166 1548.001; 1167 1555.002; 1168 1053.003; 1169 1548.003; 1170 1218.005; 1171 1557.001; \
    1173 1559.002; 1174 1556.002; 1177 1547.008; 1178 1134.005; 1179 1056.004; 1180 1546.002; 1181 1055.011; \
    1182 1546.009; 1183 1546.012; 1184 1563.001; 1186 1055.013; 1188 1090.003; 1191 1218.003; 1192 1566.002; \
    1193 1566.001; 1194 1566.003; 1196 1218.002; 1198 1553.003; 1206 1548.003; 1208 1558.003; 1209 1547.003; \
    1214 1552.002; 1215 1547.006; 1223 1218.001; 1483 1568.002; 1487 1561.002; 1488 1561.001; 1492 1565.001; \
    1493 1565.002; 1494 1565.003; 1500 1027.004; 1501 1543.002; 1502 1134.004; 1503 1555.003; 1504 1546.013; \
    1506 1550.004; 1514 1548.004; 1519 1546.014; 1522 1552.005; 1527 1550.001; 1536 1578.004; 1053.001 1053.002; \
    1070.001 1685.005; 1070.002 1685.006; 1547.011 1647; 1562 1685; 1562.001 1685; 1562.002 1685.001; 1562.003 1690; \
    1562.004 1686; 1562.006 1685; 1562.007 1686.001; 1562.008 1685.002; 1562.009 1688; 1562.010 1689; \
    1562.011 1685.003; 1562.012 1685.004; 1562.013 1686.002; 1574.002 1574.001; 1656 1684.001; 1672 1684.002";
